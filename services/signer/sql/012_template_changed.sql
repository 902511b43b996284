-- Replicas of the signer remember which templates are disabled, as they remember CAs, and hear of new versions.
CREATE TRIGGER template_changed AFTER INSERT ON ca.template FOR EACH ROW EXECUTE FUNCTION ca.tell_change();
