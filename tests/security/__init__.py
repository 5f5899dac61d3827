"""What SECURITY.md claims, tried by whoever asks without leave, sends what nobody sends, or reads what is written."""
