-- What waits for a person, oldest first.
CREATE INDEX intent_pending ON ra.intent (created_at) WHERE status = 'pending';
