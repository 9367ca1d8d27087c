"""Stage 2: the anchor search with Optuna, its proposals, judges, trials and storage."""
