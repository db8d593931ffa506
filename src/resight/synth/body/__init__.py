"""Bodies: proportions, poses, heads, limbs, shoes, whole figures."""
