"""The tasks of Inferno, as doit declares them: one module per stage of a VM's life."""
