"""Loss families, one small file each: pure functions of tensors."""
