"""What is taught: the reference implementation, about one module a lesson.

Nothing is imported here, so that `import ssdseg_ref.boxes` stays as quick as NumPy: name the module that you want.
"""
