"""What `creditd watch` does beside following: alarms, webhooks, waking at new blocks."""
