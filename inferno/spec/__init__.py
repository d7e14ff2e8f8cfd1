"""What a user asks of one VM: its fields, and the small languages that some of them are written in."""
