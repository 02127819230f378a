"""Training of Segue: sound and sequence models, and the writing of packs."""
