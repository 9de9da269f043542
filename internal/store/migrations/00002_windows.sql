-- +goose Up
-- The newest windows of a plan are found by their number, however long ago they were recorded.
CREATE INDEX evidence_window ON evidence (subject, kind, json_extract(CAST(payload AS TEXT), '$.window.number'), seq) WHERE kind IN ('drift', 'outcome');
