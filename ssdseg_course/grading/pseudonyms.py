"""Pseudonyms, for graders who are not to know whose work they look at; the key to them stays with the instructor.

A pseudonym is drawn, not worked out from a name: without the key nobody can find out whose it is by trying names.
"""

import csv
import io
import re
import secrets
from pathlib import Path

from ssdseg_course.grading.names import Learner, in_a_table, is_plain
from ssdseg_course.grading.text import shown
from ssdseg_ref.keeping import write_whole

COLUMNS = ("pseudonym", "id", "name", "email")
LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # none that is taken for another
LENGTH = 6
PSEUDONYM = re.compile(rf"learner-[{LETTERS}]{{{LENGTH}}}")
LARGEST_KEY = 2**22  # bytes


class KeyFileError(ValueError):
    """A key file that cannot be used; the message names the file, the line and what is wrong."""


class Pseudonyms:
    """The pseudonyms of a term, and the file that says whose they are.

    Raises:
        KeyFileError: if the file is there and cannot be read.
    """

    def __init__(self, path: Path):
        self.path = path
        self._learners: dict[str, Learner] = {}  # by pseudonym
        self._pseudonyms: dict[str, str] = {}  # by id
        if path.exists():
            self._read()

    def _read(self) -> None:
        try:
            with self.path.open("rb") as file:
                rows = csv.DictReader(io.StringIO(file.read(LARGEST_KEY).decode("utf-8-sig"), newline=""))
            for row in rows:
                pseudonym, student = row.get("pseudonym") or "", row.get("id") or ""
                where = f"{self.path}, line {rows.line_num}"
                if not (PSEUDONYM.fullmatch(pseudonym) and is_plain(student)):
                    raise KeyFileError(f"{where}: that is not a pseudonym and an id, as `ssdseg grade` writes them")
                if pseudonym in self._learners or student in self._pseudonyms:
                    raise KeyFileError(f"{where}: this pseudonym or this id stands in it twice")
                name = (row.get("name") or "").removeprefix("'")
                email = (row.get("email") or "").removeprefix("'")
                self._learners[pseudonym] = Learner(student, shown(name) or student, email=shown(email))
                self._pseudonyms[student] = pseudonym
        except OSError as error:
            raise KeyFileError(f"{self.path}: it cannot be read: {error.strerror}") from None
        except (UnicodeDecodeError, csv.Error):
            raise KeyFileError(f"{self.path}: that is not a key file as `ssdseg grade` writes it") from None
        if not self._learners and tuple(rows.fieldnames or ()) != COLUMNS:
            raise KeyFileError(f"{self.path}: that is not a key file as `ssdseg grade` writes it")

    def hidden(self, learner: Learner) -> Learner:
        """A learner under a pseudonym, always the same; a new one is in the file before anybody sees it.

        Raises:
            OSError: if the file cannot be written.
        """
        if learner.id not in self._pseudonyms:
            while (drawn := f"learner-{''.join(secrets.choice(LETTERS) for _ in range(LENGTH))}") in self._learners:
                pass
            self._learners[drawn], self._pseudonyms[learner.id] = learner, drawn
            self._write()
        pseudonym = self._pseudonyms[learner.id]
        known = self._learners[pseudonym]
        if (known.name, known.email) != (learner.name, learner.email) and learner.listed:
            self._learners[pseudonym] = learner
            self._write()
        return Learner(pseudonym, pseudonym)

    def whose(self, pseudonym: str) -> Learner | None:
        """Whose a pseudonym is; None if it is nobody's."""
        return self._learners.get(pseudonym)

    def _write(self) -> None:
        table = io.StringIO(newline="")
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(COLUMNS)
        for pseudonym, learner in sorted(self._learners.items()):
            writer.writerow((pseudonym, learner.id, in_a_table(learner.name), in_a_table(learner.email)))
        write_whole(self.path, table.getvalue())
        self.path.chmod(0o600)
