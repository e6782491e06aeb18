"""The virtual machine: loop, processes, disk, network, and what fails in them."""
