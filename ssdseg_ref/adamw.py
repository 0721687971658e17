"""AdamW with few operations a step, and with weights that learn more slowly than others.

Keras composes Adam's step out of some thirty small operations for every weight, and computes the schedule's learning
rate anew for every weight that decays. A network has hundreds of weights, so most of the time before a training's first
step went into writing those down. TensorFlow has one kernel for Adam's step of a weight.

Source: Loshchilov and Hutter 2019, "Decoupled Weight Decay Regularization", algorithm 2; Kingma and Ba 2015, "Adam",
section 2, the order of computation of its last paragraph.
"""

from collections.abc import Collection, Sequence
from typing import Any

import keras
from keras import KerasTensor, ops


class FastAdamW(keras.optimizers.AdamW):
    """`keras.optimizers.AdamW` for weights of float32: the same steps and state, written down in fewer operations.

    On another backend than TensorFlow the steps are Keras's own.

    Args:
        slow: paths of the weights whose steps are shorter. Scaling their gradients would do nothing: Adam divides by
            their size.
        share: of the learning rate, for those.
        args, options: as AdamW takes them, but `amsgrad`.
    """

    def __init__(self, *args: Any, slow: Collection[str] = (), share: float = 1.0, **options: Any):
        super().__init__(*args, **options)
        self.slow, self.share = frozenset(slow), share
        self.shares: list[float] = []  # of the learning rate, one per weight
        self.decays: list[bool] = []  # which weights do
        self.powers: tuple[KerasTensor, ...] = ()  # of Adam's two decay rates, in this step

    def build(self, variables: Sequence[keras.Variable]) -> None:
        """As AdamW's; and note what holds for each weight."""
        super().build(variables)
        self.shares = [self.share if variable.path in self.slow else 1.0 for variable in variables]
        self.decays = [self.weight_decay is not None and self._use_weight_decay(variable) for variable in variables]

    def apply(self, grads: Sequence[KerasTensor], trainable_variables: Sequence[keras.Variable] | None = None) -> None:
        """As AdamW's; what is equal for all weights is computed once."""
        step = ops.cast(self.iterations + 1, "float32")
        self.powers = ops.power(self.beta_1, step), ops.power(self.beta_2, step)
        super().apply(grads, trainable_variables)

    def update_step(self, gradient: KerasTensor, variable: Any, learning_rate: KerasTensor) -> None:
        """As AdamW's, at the variable's own rate; and on TensorFlow its decay, which has the same rate for all."""
        index = self._get_variable_index(variable)  # what comes in has lost its path on TensorFlow
        own_rate = learning_rate if self.shares[index] == 1 else learning_rate * self.shares[index]
        if keras.backend.backend() != "tensorflow":
            super().update_step(gradient, variable, own_rate)
            return
        import tensorflow as tf

        if self.decays[index]:
            variable.assign_sub(variable * (learning_rate * self.weight_decay))
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=self.powers[0],
            beta2_power=self.powers[1],
            lr=own_rate,
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )

    def _apply_weight_decay(self, variables: Sequence[Any]) -> None:
        """Keras's own is told to do nothing where `update_step` does it."""
        if keras.backend.backend() != "tensorflow":
            super()._apply_weight_decay(variables)

    def _update_model_variables_moving_average(self, variables: Sequence[keras.Variable]) -> None:
        """As Keras's, whose momentum is 0 in the first step; it is computed once."""
        if keras.backend.backend() != "tensorflow":
            super()._update_model_variables_moving_average(variables)
            return
        forgotten = 1 - self.ema_momentum * ops.cast(self.iterations > 0, "float32")
        for variable, average in zip(variables, self._model_variables_moving_average, strict=True):
            average.value.assign_sub((average.value - variable.value) * forgotten)
