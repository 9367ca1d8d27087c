"""Pictures of schedules, searches and results, drawn with Pillow."""
