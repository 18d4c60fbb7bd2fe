"""How good outputs are: error rates, exact match, BLEU and chrF."""
