package m365sim

import (
	"cmp"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// aad is the number of one error of the login service; 0 is no error. The numbers are those of "Microsoft Entra
// authentication and authorization error codes".
type aad int

const (
	errAppUnknown     aad = 700016
	errAppDisabled    aad = 7000112
	errWrongSecret    aad = 7000215
	errExpiredSecret  aad = 7000222
	errNoCredential   aad = 7000218
	errBadSignature   aad = 700027
	errAssertionTime  aad = 700024
	errAssertionForm  aad = 50027
	errAssertionReuse aad = 50013
	errAssertionOwner aad = 700021
	errTenantUnknown  aad = 90002
	errOtherCloud     aad = 90038
	errNoCommon       aad = 9001023
	errResource       aad = 500011
	errScope          aad = 70011
	errSeveralScopes  aad = 28002
	errV1Resource     aad = 901002
	errParameter      aad = 900144
	errGrantType      aad = 70003
	errCodeUsed       aad = 54005
	errCodeExpired    aad = 70008
	errCodeOwner      aad = 70000
	errVerifier       aad = 501481
	errRedirect       aad = 50011
	errSingleTenant   aad = 50194
	errResponseType   aad = 700051
	errChallenge      aad = 501491
	errDeclined       aad = 65004
	errForeignAccount aad = 50020
	errUnknownUser    aad = 50034
	errWrongPassword  aad = 50126
	errUserDisabled   aad = 50057
	errNeedsAdmin     aad = 90094
	errTransient      aad = 90033
	errThrottled      aad = 90055
)

// meaning gives the OAuth error, the status at the token endpoint and the text. A number that only a fault gives has
// no text of its own.
func (e aad) meaning() (kind string, status int, text string) {
	switch e {
	case errAppUnknown:
		return "unauthorized_client", 400, "Application was not found in the directory. This can happen if the " +
			"application has not been installed by the administrator of the tenant or consented to by any user in " +
			"the tenant."
	case errAppDisabled:
		return "unauthorized_client", 400, "Application is disabled."
	case errWrongSecret:
		return "invalid_client", 401, "Invalid client secret provided. Ensure the secret being sent in the " +
			"request is the client secret value, not the client secret ID."
	case errExpiredSecret:
		return "invalid_client", 401, "The provided client secret keys are expired."
	case errNoCredential:
		return "invalid_client", 401, "The request body must contain the following parameter: 'client_assertion' " +
			"or 'client_secret'."
	case errBadSignature:
		return "invalid_client", 401, "The certificate with identifier used to sign the client assertion is not " +
			"registered on application, or the signature is not valid."
	case errAssertionTime:
		return "invalid_client", 401, "Client assertion is not within its valid time range."
	case errAssertionForm:
		return "invalid_client", 401, "JWT token is invalid or malformed."
	case errAssertionReuse:
		return "invalid_client", 401, "Assertion failed validation: its jti was used before."
	case errAssertionOwner:
		return "invalid_client", 401, "Client assertion application identifier does not match 'client_id' parameter."
	case errTenantUnknown:
		return "invalid_request", 400, "Tenant not found. Check to make sure you have the correct tenant ID and " +
			"are signing into the correct cloud."
	case errOtherCloud:
		return "invalid_request", 400, "The specified tenant belongs to another national cloud."
	case errNoCommon:
		return "invalid_request", 400, "The grant type isn't supported over the /common or /consumers endpoints. " +
			"Please use the /organizations or tenant-specific endpoint."
	case errResource:
		return "invalid_resource", 400, "The resource principal named in the scope was not found in the tenant."
	case errScope:
		return "invalid_scope", 400, "The provided value for the input parameter 'scope' is not valid."
	case errSeveralScopes:
		return "invalid_scope", 400, "Provided value for the input parameter scope is not valid when requesting " +
			"an access token: it names several resources."
	case errV1Resource:
		return "invalid_request", 400, "The 'resource' request parameter is not supported."
	case errParameter:
		return "invalid_request", 400, "The request body must contain a parameter that is missing."
	case errGrantType:
		return "unsupported_grant_type", 400, "The app requested an unsupported grant type."
	case errCodeUsed:
		return "invalid_grant", 400, "OAuth2 Authorization code was already redeemed, please retry with a new " +
			"valid code."
	case errCodeExpired:
		return "invalid_grant", 400, "The provided authorization code is expired or was never issued."
	case errCodeOwner:
		return "invalid_grant", 400, "The code was issued for another client, tenant or redirect URI."
	case errVerifier:
		return "invalid_grant", 400, "The Code_Verifier does not match the code_challenge supplied in the " +
			"authorization request."
	case errRedirect:
		return "invalid_request", 400, "The redirect URI specified in the request does not match the redirect " +
			"URIs configured for the application."
	case errSingleTenant:
		return "invalid_request", 400, "Application is not configured as a multi-tenant application."
	case errResponseType:
		return "unsupported_response_type", 400, "response_type must be 'code'."
	case errChallenge:
		return "invalid_request", 400, "Invalid size or method of the code challenge; S256 is demanded."
	case errDeclined:
		return "access_denied", 400, "User declined to consent to access the app."
	case errForeignAccount:
		return "access_denied", 400, "User account from another tenant does not exist in this tenant and cannot " +
			"access the application."
	case errUnknownUser:
		return "invalid_grant", 400, "The user account does not exist in the directory."
	case errWrongPassword:
		return "invalid_grant", 400, "Error validating credentials due to invalid username or password."
	case errUserDisabled:
		return "invalid_grant", 400, "The user account is disabled."
	case errNeedsAdmin:
		return "access_denied", 403, "Need admin approval: this application needs permissions that only an " +
			"administrator can grant."
	case errTransient:
		return "temporarily_unavailable", 503, "A transient error has occurred. Please try again."
	case errThrottled:
		return "temporarily_unavailable", 429, "Too many requests."
	}
	return e.kind(), http.StatusBadRequest, "The request was refused."
}

// kind is the OAuth error of a number that the simulation does not give by itself.
func (e aad) kind() string {
	switch e {
	case 700011, 70001, 1000031:
		return "unauthorized_client"
	case 65001, 53003, 530032, 50196:
		return "invalid_grant"
	case 50012, 7000216, 700025:
		return "invalid_client"
	case 50001, 500014, 650052, 650054, 650056, 650057:
		return "invalid_resource"
	case 700022, 700023:
		return "invalid_scope"
	case 90024, 90006, 90090, 50033, 90012:
		return "temporarily_unavailable"
	default:
		return "invalid_request"
	}
}

// code is the number as Microsoft writes it.
func (e aad) code() string { return "AADSTS" + strconv.Itoa(int(e)) }

// line is the code with its text, as a page shows it; empty for no error.
func (e aad) line() string {
	if e == 0 {
		return ""
	}
	_, _, text := e.meaning()
	return e.code() + ": " + text
}

// uri is the error_uri.
func (e aad) uri(c *call) string { return c.base(login) + "/error?code=" + strconv.Itoa(int(e)) }

// traced is an error_description: the line, and the trace on lines of its own.
func (c *call) traced(line string) string {
	return fmt.Sprintf("%s\r\nTrace ID: %s\r\nCorrelation ID: %s\r\nTimestamp: %s", line, c.id, c.id,
		c.now.Format("2006-01-02 15:04:05Z"))
}

// tokenError answers a back-channel request with an error.
func (c *call) tokenError(e aad) { c.tokenFault(e, 0, "") }

// tokenFault is tokenError with a status or a text that a fault chose.
func (c *call) tokenFault(e aad, status int, text string) {
	kind, usual, meaning := e.meaning()
	c.json(cmp.Or(status, usual), map[string]any{
		"error": kind, "error_description": c.traced(e.code() + ": " + cmp.Or(text, meaning)),
		"error_codes": []int{int(e)},
		"timestamp":   c.now.Format("2006-01-02 15:04:05Z"), "trace_id": c.id, "correlation_id": c.id,
		"error_uri": e.uri(c),
	})
}

// aadOf reads a code such as AADSTS700016; anything else is the error for a bad request.
func aadOf(code string) aad {
	number, err := strconv.Atoi(strings.TrimPrefix(code, "AADSTS"))
	if err != nil {
		return errParameter
	}
	return aad(number)
}
