package m365sim

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
)

// contentTypes are the content types of the activity API.
func contentTypes() []string {
	return []string{"Audit.AzureActiveDirectory", "Audit.Exchange", "Audit.SharePoint", "Audit.General", "DLP.All"}
}

const noPublisher = "00000000-0000-0000-0000-000000000000"

// admit checks what every operation of the activity API checks, in this order: the token, the form of the tenant's
// id, that token and path name the same tenant, that the tenant exists here, the role, the parameters and the quota.
// It answers the call itself when it returns false.
func (c *call) admit(parameters ...string) bool {
	if c.token.resource != manage {
		c.w.Header().Set("WWW-Authenticate", "Bearer")
		c.json(http.StatusUnauthorized, map[string]string{"Message": "Authorization has been denied for this request."})
		return false
	}
	id := c.r.PathValue("tenant")
	switch {
	case !isGUID(id):
		c.feedError("AF20013", "The tenant ID passed in the URL ("+id+") is not a valid GUID.")
	case !strings.EqualFold(id, c.token.tenant):
		c.feedError("AF20010", "The tenant ID passed in the URL ("+id+") does not match the tenant ID passed in "+
			"the access token ("+c.token.tenant+").")
	case c.tenant == nil || c.tenant.Cloud != c.opts.Cloud:
		c.feedError("AF20011", "Specified tenant ID ("+id+") does not exist in the system or has been deleted.")
	case !c.carries("ActivityFeed.Read"):
		c.fail(http.StatusUnauthorized, "AF10001", "The permission set ("+strings.Join(c.token.roles, " ")+") "+
			"sent in the request does not include the expected permission ActivityFeed.Read.")
	case !c.tenant.withinQuota(c.now, c.opts.TenantQuota):
		c.throttleFeed(http.StatusForbidden)
	default:
		return c.checkParameters(parameters) && c.checkPublisher() && c.takesJSON()
	}
	return false
}

// checkParameters refuses query parameters that the operation does not know. Microsoft ignores some of them; here a
// misspelt parameter is always found.
func (c *call) checkParameters(known []string) bool {
	for name, values := range c.query {
		switch {
		case !strings.EqualFold(name, "PublisherIdentifier") && !slices.Contains(known, name):
			c.feedError("AF20002", "Invalid parameter: "+name+".")
			return false
		case len(values) > 1:
			c.feedError("AF20002", "Invalid parameter: "+name+" is given more than once.")
			return false
		}
	}
	return true
}

// checkPublisher refuses a PublisherIdentifier that is no GUID and, in a strict world, its absence: the shared pool of
// requests without one is always exhausted.
func (c *call) checkPublisher() bool {
	switch id := c.publisher(); {
	case id == "" && c.opts.StrictPublisher:
		c.throttleFeed(http.StatusForbidden)
	case id != "" && !isGUID(id):
		c.feedError("AF20002", "Invalid parameter type: PublisherIdentifier. Expected type: guid")
	default:
		return true
	}
	return false
}

func (c *call) publisher() string {
	for name, values := range c.query {
		if strings.EqualFold(name, "PublisherIdentifier") {
			return values[0]
		}
	}
	return ""
}

func (c *call) hasPublisher() bool { return c.publisher() != "" }

// feedError refuses a call of the activity API with the status that nearly all of its errors have.
func (c *call) feedError(code, message string) { c.fail(http.StatusBadRequest, code, message) }

// throttleFeed refuses a call for its tenant's quota. Microsoft gives it with status 403 and with 429.
func (c *call) throttleFeed(status int) {
	c.fail(status, "AF429", c.usualMessage("AF429"))
}

// feedMethod is Microsoft's name of an operation in its throttling message.
func feedMethod(op string) string {
	switch op {
	case "feed.blob":
		return "GetBlob"
	case "feed.content":
		return "GetAvailableContent"
	case "feed.start":
		return "StartSubscription"
	case "feed.stop":
		return "StopSubscription"
	default:
		return "ListSubscriptions"
	}
}

// contentType reads the contentType parameter and refuses the call when it names none.
func (c *call) contentType() (string, bool) {
	name := c.query.Get("contentType")
	if name == "" {
		c.feedError("AF20001", "Missing parameter: contentType.")
		return "", false
	}
	if !slices.Contains(contentTypes(), name) {
		c.feedError("AF20020", "The specified content type is not valid.")
		return "", false
	}
	return name, true
}

// auditMissing is how the API says that the tenant's audit log is off: no AF code, and a stack trace in the message.
func (c *call) auditMissing(operation, contentType string) {
	c.fail(http.StatusBadRequest,
		operation+" [CorrId="+c.id+"][TenantId="+c.tenant.ID+",ContentType="+contentType+
			",ApplicationId="+c.token.client+
			",PublisherId="+cmp.Or(c.publisher(), noPublisher)+"][AppId",
		c.token.client+"] failed. Microsoft.Office.Compliance.Audit.DataServiceException: Tenant "+c.tenant.ID+" "+
			"does not exist.\r\n"+
			"   at Microsoft.Office.Compliance.Audit.API.AzureManager."+
			"<GetSubscriptionTableClientForTenantAsync>d__52.MoveNext()\r\n"+
			"   at Microsoft.Office.Compliance.Audit.API.StartController.<Start>d__0.MoveNext()")
}
