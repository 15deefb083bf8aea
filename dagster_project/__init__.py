"""The pipeline behind the annual 12345 hotline quality report.

Nothing heavy is imported here: the command line starts in milliseconds because each
module imports what it needs where it needs it.
"""

from dagster_project.safe_path import leave_current_folder

leave_current_folder()  # before anything else is imported
