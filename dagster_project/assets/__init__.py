"""The assets, in the order of the data's way: load, process, save. They call the packages that know how."""
