"""How Inferno uses doit: a loader that makes tasks on demand, a task with locks and undo, a database, a reporter."""
