"""What requests of the contract look like in HTTP: servers, parameters, bodies."""
