"""Every verb of infernoctl, one row each: help, dispatch, hints, and the options of tasks come from these rows."""
