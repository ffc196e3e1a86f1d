//! The trivy-scan action: one scan, every answer.
