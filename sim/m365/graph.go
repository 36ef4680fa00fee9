package m365sim

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// allow checks the token, one of the roles and the query options, in this order. It answers the call itself when it
// returns false.
func (c *call) allow(roles []string, options ...string) bool {
	if c.token.resource != graph || c.tenant == nil {
		c.w.Header().Set("WWW-Authenticate", "Bearer")
		c.fail(http.StatusUnauthorized, "InvalidAuthenticationToken", "Access token is missing, expired or not "+
			"valid for this resource.")
		return false
	}
	if !c.carries(roles...) {
		switch {
		case strings.HasPrefix(roles[0], "Mail.") && c.mailboxGranted():
		case strings.HasPrefix(roles[0], "Mail."):
			c.fail(http.StatusForbidden, "ErrorAccessDenied", "Access is denied. Check credentials and try again.")
			return false
		case strings.HasPrefix(roles[0], "Files."):
			c.fail(http.StatusForbidden, "accessDenied", "Access denied.")
			return false
		default:
			c.fail(http.StatusForbidden, "Authorization_RequestDenied", "Insufficient privileges to complete the "+
				"operation.")
			return false
		}
	}
	for name, values := range c.query {
		if !slices.Contains(options, name) {
			c.badRequest("The query parameter '" + name + "' is not supported for this request.")
			return false
		}
		if len(values) > 1 {
			c.badRequest("Query option '" + name + "' was specified more than once, but it must be specified at " +
				"most once.")
			return false
		}
	}
	return c.route.op == "graph.value" || c.route.op == "graph.content" || c.takesJSON()
}

// badRequest refuses a call for its form.
func (c *call) badRequest(message string) { c.fail(http.StatusBadRequest, "BadRequest", message) }

// unknownProperty is Graph's answer to a $select of what the type does not have.
func (c *call) unknownProperty(name, of string) {
	c.fail(http.StatusBadRequest, "RequestBroker--ParseUri", "Could not find a property named '"+name+"' on type "+
		"'"+of+"'.")
}

// selected reads $select against the properties of the type. Without $select it gives usual.
func (c *call) selected(of string, known, usual []string) ([]string, bool) {
	text, asked := c.query["$select"]
	if !asked {
		return usual, true
	}
	var names []string
	for name := range strings.SplitSeq(text[0], ",") {
		name = strings.TrimSpace(name)
		at := slices.IndexFunc(known, func(k string) bool { return strings.EqualFold(k, name) })
		if at < 0 {
			c.unknownProperty(name, of)
			return nil, false
		}
		names = append(names, known[at])
	}
	return names, true
}

// number reads a whole-number query option within its bounds.
func (c *call) number(option string, usual, least, most int) (int, bool) {
	text, asked := c.query[option]
	if !asked {
		return usual, true
	}
	n, err := strconv.Atoi(text[0])
	if err != nil || n < least || n > most {
		c.badRequest("Invalid value '" + text[0] + "' for " + option + ": it must be between " +
			"" + strconv.Itoa(least) + " and " + strconv.Itoa(most) + ".")
		return 0, false
	}
	return n, true
}

// next is the address of the next page: the request's own with another mark. Like Graph's it is opaque and must be
// followed as it is.
func (c *call) next(markOption, mark string) string {
	query := url.Values{}
	for name, values := range c.query {
		if name != "$skip" {
			query[name] = values
		}
	}
	query.Set(markOption, mark)
	return c.base(graph) + strings.TrimPrefix(c.r.URL.EscapedPath(), "/graph") + "?" + query.Encode()
}

// seal makes an opaque token of its parts, and unseal gives them back.
func seal(parts ...string) string { return base64url([]byte(strings.Join(parts, "|"))) }

func unseal(token string, count int) ([]string, bool) {
	raw, err := base64.RawURLEncoding.DecodeString(token)
	parts := strings.Split(string(raw), "|")
	return parts, err == nil && len(parts) == count
}

// only keeps the selected properties of an object, and those that describe it.
func only(object map[string]any, names []string) map[string]any {
	kept := make(map[string]any, len(names)+1)
	for _, name := range names {
		kept[name] = object[name]
	}
	for name, value := range object {
		if strings.HasPrefix(name, "@") {
			kept[name] = value
		}
	}
	return kept
}

// organization answers with the tenant itself.
func organization(c *call) {
	if !c.allow([]string{"Organization.Read.All", "Directory.Read.All", "User.Read.All"}, "$select") {
		return
	}
	known := []string{"id", "displayName", "verifiedDomains", "tenantType"}
	names, ok := c.selected("microsoft.graph.organization", known, known)
	if !ok {
		return
	}
	domains := []map[string]any{}
	for _, domain := range c.tenant.Domains {
		isDefault := strings.EqualFold(domain, c.tenant.DefaultDomain)
		domains = append(domains, map[string]any{
			"name": domain, "isDefault": isDefault, "isInitial": strings.HasSuffix(domain, ".onmicrosoft.com"),
			"type": "Managed", "capabilities": "Email, OfficeCommunicationsOnline",
		})
	}
	c.json(http.StatusOK, map[string]any{
		"@odata.context": c.base(graph) + "/v1.0/$metadata#organization",
		"value": []any{only(map[string]any{
			"id": c.tenant.ID, "displayName": c.tenant.DisplayName, "verifiedDomains": domains, "tenantType": "AAD",
		}, names)},
	})
}
