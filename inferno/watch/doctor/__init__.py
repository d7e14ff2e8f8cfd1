"""Whether this host is fit for production: rules, and what was found about each."""
