"""What a card is asked so that a network's schedule is chosen well, and what is learned of that."""
