"""What training computes: networks, augmentation, targets, losses, the loop."""
