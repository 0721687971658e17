"""Does an archive that was made to do harm do none?"""

import io
import stat
import tarfile
import zipfile

import pytest

from ssdseg_ref.data.fetching import Archive, unpack

ROOM = 1000  # bytes that the archives here may need


def known(name, **other) -> Archive:
    return Archive(name, (), 0, None, ROOM, **other)


def make_zip(path, *members) -> None:
    """Members are (name, content) or (name, content, mode)."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content, *mode in members:
            info = zipfile.ZipInfo(name)
            info.external_attr = (mode[0] if mode else stat.S_IFREG | 0o644) << 16
            archive.writestr(info, content)


def make_tar(path, *members, mode="w") -> None:
    """Members are (name, content) or (name, content, type, attributes)."""
    with tarfile.open(path, mode) as archive:
        for name, content, *more in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            if more:
                info.type = more[0]
                for attribute, value in more[1].items():
                    setattr(info, attribute, value)
            archive.addfile(info, io.BytesIO(content))


MAKERS = {"a.zip": make_zip, "a.tar": make_tar}


@pytest.fixture
def target(tmp_path):
    (tmp_path / "target").mkdir()
    return tmp_path / "target"


@pytest.mark.parametrize("name", MAKERS)
def test_files_in_folders_are_unpacked(tmp_path, target, name):
    MAKERS[name](tmp_path / name, ("top.txt", b"top"), ("a/b/deep.txt", b"deep"))
    seen = []
    unpack(known(name), tmp_path / name, target, lambda *step: seen.append(step))
    assert (target / "top.txt").read_bytes() == b"top"
    assert (target / "a" / "b" / "deep.txt").read_bytes() == b"deep"
    assert seen[-1] == (f"unpacking {name}", 7, 7)


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize(
    "outside", ["/etc/outside", "../outside", "a/../../outside", "a/..", "..\\outside", "C:/outside", "C:outside"]
)
def test_a_name_that_leads_out_is_refused(tmp_path, target, name, outside):
    MAKERS[name](tmp_path / name, ("fine.txt", b""), (outside, b"harm"))
    with pytest.raises(ValueError, match=r"its member .*outside|its member 'a/..'") as error:
        unpack(known(name), tmp_path / name, target)
    assert str(error.value).endswith("leads out of the folder")
    assert list(target.iterdir()) == []
    assert not (tmp_path / "outside").exists()


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("device", ["nul", "a/CON/b.txt", "COM1.txt", "a/aux.tar.gz"])
def test_a_name_that_is_a_device_to_windows_is_refused(tmp_path, target, name, device):
    MAKERS[name](tmp_path / name, ("common.txt", b""), ("a/null.txt", b""), (device, b"harm"))
    with pytest.raises(ValueError, match="has the name of a device"):
        unpack(known(name), tmp_path / name, target)
    assert list(target.iterdir()) == []


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (tarfile.SYMTYPE, "is a link"),
        (tarfile.LNKTYPE, "is a link"),
        (tarfile.CHRTYPE, "is neither a file nor a folder"),
        (tarfile.FIFOTYPE, "is neither a file nor a folder"),
    ],
)
def test_links_and_devices_in_a_tar_are_refused(tmp_path, target, kind, reason):
    members = [("way", b"", kind, {"linkname": "/etc"}), ("way/harm", b"harm")]
    make_tar(tmp_path / "a.tar", *members)
    with pytest.raises(ValueError, match=f"a.tar is refused: its member 'way' {reason}"):
        unpack(known("a.tar"), tmp_path / "a.tar", target)
    assert list(target.iterdir()) == []


@pytest.mark.parametrize(
    ("mode", "reason"), [(stat.S_IFLNK, "is a link"), (stat.S_IFCHR, "is neither"), (stat.S_IFIFO, "is neither")]
)
def test_links_and_devices_in_a_zip_are_refused(tmp_path, target, mode, reason):
    make_zip(tmp_path / "a.zip", ("way", b"/etc", mode | 0o777), ("way/harm", b"harm"))
    with pytest.raises(ValueError, match=f"a.zip is refused: its member 'way' {reason}"):
        unpack(known("a.zip"), tmp_path / "a.zip", target)
    assert list(target.iterdir()) == []


def test_harm_beside_what_is_wanted_is_refused_too(tmp_path, target):
    make_zip(tmp_path / "a.zip", ("wanted.txt", b""), ("../outside", b""))
    with pytest.raises(ValueError, match="leads out"):
        unpack(known("a.zip", members=("wanted*",)), tmp_path / "a.zip", target)


@pytest.mark.parametrize("name", MAKERS)
def test_a_bomb_is_refused_before_anything_is_written(tmp_path, target, name):
    MAKERS[name](tmp_path / name, ("small", bytes(600)), ("bomb", bytes(401)))
    with pytest.raises(ValueError, match=r"its member 'bomb' makes it larger than the 0 MB that are known of"):
        unpack(known(name), tmp_path / name, target)
    assert list(target.iterdir()) == []


def test_a_member_that_is_larger_than_it_says_is_not_written_to_its_end(tmp_path, target):
    make_zip(tmp_path / "a.zip", ("bomb", bytes(10**6)))
    content = (tmp_path / "a.zip").read_bytes().replace((10**6).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(ValueError, match=r"a.zip is damaged"):
        unpack(known("a.zip"), tmp_path / "a.zip", target)
    assert sum(path.stat().st_size for path in target.iterdir()) <= 10


def test_a_tar_that_is_compressed_is_none_of_ours(tmp_path, target):
    make_tar(tmp_path / "a.tar", ("a", b"a"), mode="w:gz")
    with pytest.raises(ValueError, match=r"a.tar is damaged"):
        unpack(known("a.tar"), tmp_path / "a.tar", target)


@pytest.mark.parametrize("name", MAKERS)
def test_what_ends_too_early_is_damaged(tmp_path, target, name):
    MAKERS[name](tmp_path / name, ("a", bytes(range(250)) * 4))
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) // 2 if name == "a.zip" else 700])
    with pytest.raises(ValueError, match=f"{name} is damaged"):
        unpack(known(name), tmp_path / name, target)


def test_a_file_in_the_place_of_a_folder_is_refused(tmp_path, target):
    make_zip(tmp_path / "a.zip", ("a", b"file"), ("a/b", b"in a file"))
    with pytest.raises(ValueError, match="its member 'a/b' has the place of another"):
        unpack(known("a.zip"), tmp_path / "a.zip", target)


def test_an_archive_without_what_is_wanted_is_refused(tmp_path, target):
    make_zip(tmp_path / "a.zip", ("other.txt", b""))
    with pytest.raises(ValueError, match="holds nothing of what was looked for"):
        unpack(known("a.zip", members=("wanted*",)), tmp_path / "a.zip", target)


def test_a_zip_in_a_zip_is_unpacked_where_it_lies(tmp_path, target):
    make_zip(tmp_path / "masks.zip", ("masks/1.png", b"1"), ("__MACOSX/masks/1.png", b"not wanted"))
    inside = (tmp_path / "masks.zip").read_bytes()
    make_zip(tmp_path / "a.zip", ("annotations/masks.zip", inside), ("annotations/masks.json", b"{}"))
    unpack(known("a.zip", inner=("annotations/masks.zip",)), tmp_path / "a.zip", target)
    files = sorted(path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_file())
    assert files == ["annotations/masks.json", "annotations/masks/1.png"]


def test_a_zip_in_a_zip_is_held_to_the_same_rules(tmp_path, target):
    make_zip(tmp_path / "masks.zip", ("masks/1.png", b"1"), ("../outside", b""))
    make_zip(tmp_path / "a.zip", ("masks.zip", (tmp_path / "masks.zip").read_bytes()))
    with pytest.raises(ValueError, match=r"masks.zip is refused: its member '../outside' leads out of the folder"):
        unpack(known("a.zip", inner=("masks.zip",)), tmp_path / "a.zip", target)
