package m365

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/fault"
)

// Whatever an error answer holds, it comes to exactly one kind, in one short line.
func FuzzAnswersComeToOneKind(f *testing.F) {
	f.Add(400, "application/json", "5", []byte(`{"error":{"code":"AF20023","message":"The subscription was disabled."}}`))
	f.Add(403, "text/html", "", []byte("<html>"))
	f.Add(
		400,
		"",
		"Mon, 04 May 2026 12:00:00 GMT",
		[]byte(`{"error":"invalid_client","error_description":"AADSTS7000215: no\r\nTrace ID: x","error_codes":[7000215]}`),
	)
	f.Add(307, "", "99999999999999999999", []byte(`{"error":{"code":1,"message":[]}}`))
	f.Fuzz(func(t *testing.T, status int, contentType, retry string, body []byte) {
		header := http.Header{"Content-Type": {contentType}, "Retry-After": {retry}, "Location": {contentType}}
		a := answer{
			what:   "try",
			status: status,
			header: header,
			body:   body,
			hidden: []string{"hidden-value"},
			now:    time.Unix(0, 0),
		}
		for _, err := range []error{a.activityError("33333333-3333-4333-8333-333333333333", true), a.loginError()} {
			kinds := 0
			for _, kind := range []error{fault.Retry, fault.Refused, fault.Poison, fault.Ours} {
				if errors.Is(err, kind) {
					kinds++
				}
			}
			text := err.Error()
			if kinds != 1 || len(fault.Code(err)) > 64 || !utf8.ValidString(text) || utf8.RuneCountInString(text) > 400 {
				t.Errorf("%d kinds, code %q: %q", kinds, fault.Code(err), text)
			}
			if strings.ContainsFunc(text, unicode.IsControl) || strings.Contains(text, "hidden-value") {
				t.Errorf("quoted too much: %q", text)
			}
			if wait := fault.Wait(err); wait < 0 || wait > maxWait {
				t.Errorf("wait %v", wait)
			}
		}
	})
}

func FuzzParseListing(f *testing.F) {
	f.Add(
		[]byte(
			`[{"contentType":"Audit.Exchange","contentId":"x","contentUri":"u","contentCreated":"2026-05-04T11:30:51.748Z","contentExpiration":""}]`,
		),
	)
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, body []byte) {
		blobs, err := parseListing(body)
		for _, b := range blobs {
			if err != nil || b.ID == "" || b.URI == "" || b.Created.Location() != time.UTC {
				t.Errorf("blob %+v, %v", b, err)
			}
		}
	})
}

func FuzzParseKeys(f *testing.F) {
	f.Add([]byte(`{"keys":[{"kty":"RSA","use":"sig","n":"AQAB","e":"AQAB"},{"kty":"EC"},7]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if keys, err := parseKeys(body); (err == nil) != (len(keys) > 0) {
			t.Errorf("%d keys, %v", len(keys), err)
		}
	})
}

// Whatever a discovery document holds, it names a cloud that there is, or none.
func FuzzDiscoveryNamesACloudOrNone(f *testing.F) {
	f.Add([]byte(`{"tenant_region_sub_scope":"DODCON","cloud_instance_name":"microsoftonline.us"}`))
	f.Add([]byte(`{"cloud_instance_name":"microsoftonline.com"}`))
	f.Add([]byte(`{"tenant_region_sub_scope":1}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if cloud := parseDiscovery(body); cloud != "" {
			if _, err := connection.ParseCloud(string(cloud)); err != nil {
				t.Errorf("%q: %v", body, err)
			}
		}
	})
}
