//! Azure: Entra tokens, Resource Manager, container registry and cluster credentials.
