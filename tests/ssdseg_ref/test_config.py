"""Is the configuration light, so that samples can be prepared for a network without importing one?"""

import json
import subprocess
import sys
from dataclasses import asdict, replace

import pytest

from ssdseg_ref import config, multitask, network, prediction
from ssdseg_ref.config import LESSON, SHIPPED, config_of, preset


@pytest.mark.parametrize("module", ["config", "data.pipeline", "prediction", "evaluation"])
def test_what_builds_no_network_imports_no_keras(module):
    code = f"import sys, ssdseg_ref.{module}; print(sorted({{'keras', 'tensorflow'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_joint_network_can_be_imported_from_one_module():
    homes = {name: home for home in (config, network, prediction) for name in vars(home)}
    for name in multitask.__all__:
        assert getattr(multitask, name) is getattr(homes[name], name)


def test_a_preset_that_does_not_exist_is_answered_with_those_that_do():
    with pytest.raises(ValueError, match="there is no preset 'huge'; there is lesson, reference"):
        preset("huge")


def test_a_configuration_survives_json():
    for one in (*SHIPPED.values(), replace(LESSON, classes=("a b", "ü"), has_masks=False)):
        assert config_of(json.loads(json.dumps(asdict(one)))) == one


def test_a_description_from_before_boxes_alone_has_masks():
    description = asdict(LESSON)
    del description["has_masks"]
    assert config_of(description) == LESSON


@pytest.mark.parametrize("wrong", [{"classes": []}, {"classes": [1, 2]}, {"image_size": 5}, {"scales": ["a"]}])
def test_what_is_no_configuration_is_refused(wrong):
    with pytest.raises((KeyError, TypeError, ValueError)):
        config_of({**asdict(LESSON), **wrong})
