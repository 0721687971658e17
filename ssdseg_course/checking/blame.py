"""Whose mistake it is: a function may fail for an earlier one of the learner's, which it calls and which is wrong."""

from dataclasses import dataclass

from ssdseg_course.checking.exercise import Exercise
from ssdseg_course.checking.values import in_words_together


@dataclass(frozen=True)
class Blame:
    """Earlier exercises whose functions an answer calls and which are not right yet.

    Attributes:
        wrong: these, in their order.
        right_otherwise: whether the answer is right when it gets the right ones in their places.
        unwritten: whether none of them is written at all.
        instead: what they give in the place of arrays, "a list", where they are right and nothing else is in the way.
    """

    wrong: tuple[Exercise, ...]
    right_otherwise: bool
    unwritten: bool = False
    instead: str = ""

    def in_words(self, exercise: Exercise) -> str:
        """What the learner should know and do.

        Args:
            exercise: the one whose function calls them.
        """
        names = in_words_together([f"`{helper.name}` ({helper.id})" for helper in self.wrong])
        several = len(self.wrong) > 1
        if self.instead:
            gives = f"which it calls, {'give' if several else 'gives'} {self.instead}, and an array is needed here"
            itself = f"your `{exercise.name}` itself is right: your {names}, {gives}."
            return f"{itself} Make one of it where {'each' if several else 'that one'} returns it: `np.array(...)`."
        do = f"{'Write' if self.unwritten else 'Mend'} {'those' if several else 'that one'} first."
        are = "are" if several else "is"
        if not self.right_otherwise:
            state = "not written yet" if self.unwritten else "not right either"
            return f"your {names}, which it calls, {are} {state}. {do}"
        if self.unwritten:
            return f"your `{exercise.name}` itself is right: your {names}, which it calls, {are} not written yet. {do}"
        return f"your `{exercise.name}` itself is right: the mistake is in your {names}, which it calls. {do}"
