"""What a training needs of a device, told before there is one."""
