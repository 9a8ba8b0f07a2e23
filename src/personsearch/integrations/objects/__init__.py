"""obstore: pictures in any store that speaks S3."""
