package m365sim

import (
	"cmp"
	"net/http"
	"strings"
)

// failAs answers with the error of a fault, and with what is usual where the fault says nothing.
func (c *call) failAs(f Fault) {
	if f.Code == "404" {
		c.json(http.StatusNotFound, map[string]string{"Message": "No HTTP resource was found that matches the " +
			"request URI '" + c.r.URL.Path + "'."})
		return
	}
	c.fail(cmp.Or(f.Status, usualStatus(f.Code)), cmp.Or(f.Code, usualCode(c.route.root, f.Status)), cmp.Or(f.Message,
		c.usualMessage(f.Code)))
}

// refuse answers with an error code, its usual status and its usual message.
func (c *call) refuse(code string) { c.fail(usualStatus(code), code, c.usualMessage(code)) }

// usualMessage is the message that an error code comes with. It is empty for a code whose message says nothing more.
func (c *call) usualMessage(code string) string {
	switch content, user := c.r.PathValue("content"), c.r.PathValue("user"); code {
	case "AF429":
		return "Too many requests. Method=" + feedMethod(c.route.op) + ", PublisherId=" + cmp.Or(c.publisher(),
			noPublisher)
	case "AF20050":
		return "The specified content (" + content + ") does not exist."
	case "AF20051":
		return "Content requested with the key " + content + " has already expired. Content older than 7 days " +
			"cannot be retrieved."
	case "AF20052":
		return "Content ID " + content + " in the URL is invalid."
	case "ErrorInvalidUser":
		return "The requested user '" + user + "' is invalid."
	case "MailboxNotEnabledForRESTAPI":
		return "The mailbox is either inactive, soft-deleted, or is hosted on-premise."
	case "ResourceNotFound":
		return "Resource could not be discovered."
	case "ApplicationThrottled":
		return "Application is over its MailboxConcurrency limit."
	case "ErrorAccessDenied":
		return "Access to OData is disabled."
	case "ErrorItemNotFound":
		return "The specified object was not found in the store."
	}
	return ""
}

// usualCode is the usual code of a status, for a fault that names none.
func usualCode(of root, status int) string {
	switch {
	case of == manage && status >= http.StatusInternalServerError:
		return "AF50000"
	case of == manage:
		return "AF429"
	case of == login && status == http.StatusTooManyRequests:
		return "AADSTS90055"
	case of == login:
		return "AADSTS90033"
	case status == http.StatusTooManyRequests:
		return "TooManyRequests"
	case status == http.StatusServiceUnavailable:
		return "ServiceUnavailable"
	default:
		return "UnknownError"
	}
}

// usualStatus is the status that an error code comes with, for a fault that names only the code.
func usualStatus(code string) int {
	switch code {
	case "AF10001", "InvalidAuthenticationToken":
		return http.StatusUnauthorized
	case "Authorization_RequestDenied", "ErrorAccessDenied":
		return http.StatusForbidden
	case "ErrorItemNotFound", "ErrorInvalidUser", "MailboxNotEnabledForRESTAPI", "Request_ResourceNotFound",
		"ResourceNotFound":
		return http.StatusNotFound
	case "syncStateNotFound", "resyncRequired":
		return http.StatusGone
	case "AF429", "TooManyRequests", "ApplicationThrottled":
		return http.StatusTooManyRequests
	case "AF50000", "UnknownError":
		return http.StatusInternalServerError
	}
	if strings.HasPrefix(code, "AADSTS") {
		_, status, _ := aadOf(code).meaning()
		return status
	}
	return http.StatusBadRequest
}
