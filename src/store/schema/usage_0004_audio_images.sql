-- What is counted in neither tokens nor requests: milliseconds of recordings that were heard, images that were made.
ALTER TABLE usage_records ADD COLUMN audio_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE usage_records ADD COLUMN images INTEGER NOT NULL DEFAULT 0;
ALTER TABLE usage_hours ADD COLUMN audio_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE usage_hours ADD COLUMN images INTEGER NOT NULL DEFAULT 0;
