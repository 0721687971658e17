"""`python -m ssdseg_course` is the same as `ssdseg`."""

from ssdseg_course.cli import main

main()
