//! The azure-deploy action: push, deploy, prove, or roll back.
