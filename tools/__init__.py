"""Programs that maintain this repository; nothing of them is installed."""
