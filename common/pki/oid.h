/* Object identifiers, as content octets, and their names. One table. */
#ifndef SIGNET_PKI_OID_H
#define SIGNET_PKI_OID_H

#include "base/bytes.h"

/* The constants are defined by oid.c: extern const struct bytes OID_COMMON_NAME, … */
#define OID_LIST(X)                                                                         \
    X(COMMON_NAME, "2.5.4.3", "CN")                                                         \
    X(SURNAME, "2.5.4.4", "SN")                                                             \
    X(SERIAL_NUMBER, "2.5.4.5", "serialNumber")                                             \
    X(COUNTRY, "2.5.4.6", "C")                                                              \
    X(LOCALITY, "2.5.4.7", "L")                                                             \
    X(STATE, "2.5.4.8", "ST")                                                               \
    X(STREET, "2.5.4.9", "street")                                                          \
    X(ORGANIZATION, "2.5.4.10", "O")                                                        \
    X(ORGANIZATIONAL_UNIT, "2.5.4.11", "OU")                                                \
    X(TITLE, "2.5.4.12", "title")                                                           \
    X(GIVEN_NAME, "2.5.4.42", "GN")                                                         \
    X(DOMAIN_COMPONENT, "0.9.2342.19200300.100.1.25", "DC")                                 \
    X(USER_ID, "0.9.2342.19200300.100.1.1", "UID")                                          \
    X(EMAIL_ADDRESS, "1.2.840.113549.1.9.1", "emailAddress")                                \
    X(EXTENSION_REQUEST, "1.2.840.113549.1.9.14", "extensionRequest")                       \
    X(CHALLENGE_PASSWORD, "1.2.840.113549.1.9.7", "challengePassword")                      \
    X(SUBJECT_KEY_IDENTIFIER, "2.5.29.14", "subjectKeyIdentifier")                          \
    X(KEY_USAGE, "2.5.29.15", "keyUsage")                                                   \
    X(SUBJECT_ALT_NAME, "2.5.29.17", "subjectAltName")                                      \
    X(BASIC_CONSTRAINTS, "2.5.29.19", "basicConstraints")                                   \
    X(CRL_NUMBER, "2.5.29.20", "cRLNumber")                                                 \
    X(CRL_REASON, "2.5.29.21", "cRLReason")                                                 \
    X(INVALIDITY_DATE, "2.5.29.24", "invalidityDate")                                       \
    X(ISSUING_DISTRIBUTION_POINT, "2.5.29.28", "issuingDistributionPoint")                  \
    X(NAME_CONSTRAINTS, "2.5.29.30", "nameConstraints")                                     \
    X(CRL_DISTRIBUTION_POINTS, "2.5.29.31", "cRLDistributionPoints")                        \
    X(CERTIFICATE_POLICIES, "2.5.29.32", "certificatePolicies")                             \
    X(AUTHORITY_KEY_IDENTIFIER, "2.5.29.35", "authorityKeyIdentifier")                      \
    X(EXTENDED_KEY_USAGE, "2.5.29.37", "extKeyUsage")                                       \
    X(AUTHORITY_INFO_ACCESS, "1.3.6.1.5.5.7.1.1", "authorityInfoAccess")                    \
    X(TLS_FEATURE, "1.3.6.1.5.5.7.1.24", "tlsFeature")                                      \
    X(AD_OCSP, "1.3.6.1.5.5.7.48.1", "ocsp")                                                \
    X(AD_CA_ISSUERS, "1.3.6.1.5.5.7.48.2", "caIssuers")                                     \
    X(OCSP_BASIC, "1.3.6.1.5.5.7.48.1.1", "id-pkix-ocsp-basic")                             \
    X(OCSP_NONCE, "1.3.6.1.5.5.7.48.1.2", "id-pkix-ocsp-nonce")                             \
    X(OCSP_NOCHECK, "1.3.6.1.5.5.7.48.1.5", "id-pkix-ocsp-nocheck")                         \
    X(SERVER_AUTH, "1.3.6.1.5.5.7.3.1", "serverAuth")                                       \
    X(CLIENT_AUTH, "1.3.6.1.5.5.7.3.2", "clientAuth")                                       \
    X(CODE_SIGNING, "1.3.6.1.5.5.7.3.3", "codeSigning")                                     \
    X(EMAIL_PROTECTION, "1.3.6.1.5.5.7.3.4", "emailProtection")                             \
    X(TIME_STAMPING, "1.3.6.1.5.5.7.3.8", "timeStamping")                                   \
    X(OCSP_SIGNING, "1.3.6.1.5.5.7.3.9", "OCSPSigning")                                     \
    X(RSA_ENCRYPTION, "1.2.840.113549.1.1.1", "rsaEncryption")                              \
    X(SHA1_WITH_RSA, "1.2.840.113549.1.1.5", "sha1WithRSAEncryption")                       \
    X(SHA256_WITH_RSA, "1.2.840.113549.1.1.11", "sha256WithRSAEncryption")                  \
    X(SHA384_WITH_RSA, "1.2.840.113549.1.1.12", "sha384WithRSAEncryption")                  \
    X(SHA512_WITH_RSA, "1.2.840.113549.1.1.13", "sha512WithRSAEncryption")                  \
    X(EC_PUBLIC_KEY, "1.2.840.10045.2.1", "id-ecPublicKey")                                 \
    X(ECDSA_WITH_SHA256, "1.2.840.10045.4.3.2", "ecdsa-with-SHA256")                        \
    X(ECDSA_WITH_SHA384, "1.2.840.10045.4.3.3", "ecdsa-with-SHA384")                        \
    X(ECDSA_WITH_SHA512, "1.2.840.10045.4.3.4", "ecdsa-with-SHA512")                        \
    X(P256, "1.2.840.10045.3.1.7", "prime256v1")                                            \
    X(P384, "1.3.132.0.34", "secp384r1")                                                    \
    X(P521, "1.3.132.0.35", "secp521r1")                                                    \
    X(ED25519, "1.3.101.112", "Ed25519")                                                    \
    X(SHA1, "1.3.14.3.2.26", "sha1")                                                        \
    X(SHA256, "2.16.840.1.101.3.4.2.1", "sha256")                                           \
    X(SHA384, "2.16.840.1.101.3.4.2.2", "sha384")                                           \
    X(SHA512, "2.16.840.1.101.3.4.2.3", "sha512")                                           \
    X(CMS_DATA, "1.2.840.113549.1.7.1", "id-data")                                          \
    X(CMS_SIGNED_DATA, "1.2.840.113549.1.7.2", "id-signedData")                             \
    X(CMS_ENVELOPED_DATA, "1.2.840.113549.1.7.3", "id-envelopedData")                       \
    X(CMS_CONTENT_TYPE, "1.2.840.113549.1.9.3", "contentType")                              \
    X(CMS_MESSAGE_DIGEST, "1.2.840.113549.1.9.4", "messageDigest")                          \
    X(CMS_SIGNING_TIME, "1.2.840.113549.1.9.5", "signingTime")                              \
    X(PBKDF2, "1.2.840.113549.1.5.12", "PBKDF2")                                            \
    X(HMAC_SHA256, "1.2.840.113549.2.9", "hmacWithSHA256")                                  \
    X(PWRI_KEK, "1.2.840.113549.1.9.16.3.9", "id-alg-PWRI-KEK")                             \
    X(AES128_CBC, "2.16.840.1.101.3.4.1.2", "aes128-CBC")                                   \
    X(AES192_CBC, "2.16.840.1.101.3.4.1.22", "aes192-CBC")                                  \
    X(AES256_CBC, "2.16.840.1.101.3.4.1.42", "aes256-CBC")                                  \
    X(DES_EDE3_CBC, "1.2.840.113549.3.7", "des-EDE3-CBC")                                   \
    X(DES_CBC, "1.3.14.3.2.7", "des-CBC")                                                   \
    X(SCEP_MESSAGE_TYPE, "2.16.840.1.113733.1.9.2", "scep-messageType")                     \
    X(SCEP_PKI_STATUS, "2.16.840.1.113733.1.9.3", "scep-pkiStatus")                         \
    X(SCEP_FAIL_INFO, "2.16.840.1.113733.1.9.4", "scep-failInfo")                           \
    X(SCEP_SENDER_NONCE, "2.16.840.1.113733.1.9.5", "scep-senderNonce")                     \
    X(SCEP_RECIPIENT_NONCE, "2.16.840.1.113733.1.9.6", "scep-recipientNonce")               \
    X(SCEP_TRANSACTION_ID, "2.16.840.1.113733.1.9.7", "scep-transactionID")                 \
    X(EST_IDENTITY_LINKING, "1.2.840.113549.1.9.16.2.58", "estIdentityLinking")             \
    X(DECRYPT_KEY_ID, "1.2.840.113549.1.9.16.2.37", "decryptKeyIdentifier")                 \
    X(ASYMM_DECRYPT_KEY_ID, "1.2.840.113549.1.9.16.2.54", "asymmetricDecryptKeyIdentifier") \
    X(CSR_INFO_TEMPLATE, "1.2.840.113549.1.9.16.2.61", "certificationRequestInfoTemplate")  \
    X(EXTENSION_REQUEST_TEMPLATE, "1.2.840.113549.1.9.16.2.62", "extensionReqTemplate")     \
    X(KEY_PACKAGE, "2.16.840.1.101.2.1.2.78.5", "aKeyPackage")                              \
    X(CMC_PKI_DATA, "1.3.6.1.5.5.7.12.2", "PKIData")                                        \
    X(CMC_PKI_RESPONSE, "1.3.6.1.5.5.7.12.3", "PKIResponse")                                \
    X(CMC_DATA_RETURN, "1.3.6.1.5.5.7.7.4", "dataReturn")                                   \
    X(CMC_TRANSACTION_ID, "1.3.6.1.5.5.7.7.5", "transactionId")                             \
    X(CMC_SENDER_NONCE, "1.3.6.1.5.5.7.7.6", "senderNonce")                                 \
    X(CMC_RECIPIENT_NONCE, "1.3.6.1.5.5.7.7.7", "recipientNonce")                           \
    X(CMC_STATUS_INFO_V2, "1.3.6.1.5.5.7.7.25", "statusInfoV2")                             \
    X(CHANGE_SUBJECT_NAME, "1.3.6.1.5.5.7.7.36", "changeSubjectName")                       \
    X(PERMANENT_IDENTIFIER, "1.3.6.1.5.5.7.8.3", "permanentIdentifier")                     \
    X(HARDWARE_MODULE_NAME, "1.3.6.1.5.5.7.8.4", "hardwareModuleName")                      \
    X(USER_PRINCIPAL_NAME, "1.3.6.1.4.1.311.20.2.3", "userPrincipalName")                   \
    X(TCG_AK_CERTIFICATE, "2.23.133.8.3", "tcg-kp-AIKCertificate")

#define OID_DECLARE_(name, dotted, text) extern const struct bytes OID_##name;
OID_LIST(OID_DECLARE_)
#undef OID_DECLARE_

bool oid_is(struct bytes oid, struct bytes known);
/* "CN", "serverAuth", or the dotted form. */
const char *oid_name(struct arena *arena, struct bytes oid);
/* From a name in the table or a dotted form; false when it is neither. */
bool oid_parse(struct arena *arena, const char *name, struct bytes *ret_oid);
/* "2.5.4.3", whatever its name; "oid:…" where an arc is too large for a number. And back. */
const char *oid_dotted(struct arena *arena, struct bytes oid);
bool oid_parse_dotted(struct arena *arena, const char *text, struct bytes *ret_oid);

#endif
