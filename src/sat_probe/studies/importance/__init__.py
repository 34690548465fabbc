"""Head importance: ranking, removal, cost."""
