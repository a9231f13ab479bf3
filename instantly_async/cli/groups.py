"""The groups of options and commands in the help, in their order. No decisions."""

from cyclopts import Group

INPUT = Group("Input", sort_key=1)
EXPORT = Group("Leads", sort_key=1)
OUTPUT = Group("Output", sort_key=2)
RESUME = Group("Resume", sort_key=3)
OPTIONS = Group("Options", sort_key=4)
NETWORK = Group("Network", sort_key=5)
DISPLAY = Group("Display", sort_key=6)

FETCH = Group("Fetch leads", sort_key=1)
FILES = Group("Files", sort_key=2)
TRY = Group("Try it, without a key", sort_key=3)
SHELL = Group("Shell", sort_key=4)
ABOUT = Group("Help", sort_key=5)
