"""The verbs: each module has HELP, DESCRIPTION, EPILOG, add_arguments and run."""
