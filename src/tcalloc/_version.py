"""The version, in a module that setuptools can read without importing the package."""

__version__ = "0.1.0"
