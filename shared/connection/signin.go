package connection

import "context"

// Challenge is what one sign-in is bound to: three values that nobody else can guess, base64url, of 256 bits each.
type Challenge struct {
	State    string // comes back in the callback, and finds the attempt
	Nonce    string // comes back inside the id_token
	Verifier string // the PKCE verifier; only its S256 challenge travels through the browser
}

// Administrator is who signed in, according to a verified id_token.
type Administrator struct {
	Tenant TenantID
	Object string   // "oid": the user's object id in the tenant
	Roles  []string // "wids": template ids of the directory roles that the user holds; nil if the token does not say
	Claims string   // which of "wids" and "acct" the token had
	Guest  bool     // the account's home is another tenant ("acct" is 1, or an issuer other than the tenant's)
}

// SignIn is what the consent needs from Microsoft's login. It is safe for concurrent use.
type SignIn interface {
	// SignInURL is where the browser goes to sign in: code flow, PKCE S256, nonce.
	SignInURL(cloud Cloud, c Challenge) (string, error)

	// ConsentURL is where the browser goes to consent for the tenant (the v2.0 adminconsent endpoint, at the tenant's
	// own path, never at "common").
	ConsentURL(t Tenant, state string) (string, error)

	// TenantOf finds out which tenant a domain belongs to, from what Microsoft publishes about it. An error is
	// fault.Refused if there is none in the cloud's login, and fault.Retry if Microsoft could not be reached.
	TenantOf(ctx context.Context, cloud Cloud, domain string) (TenantID, error)

	// CloudOf finds out which cloud a tenant lives in, whatever cloud t says, from what Microsoft publishes about it.
	// An error means that it could not be found out.
	CloudOf(ctx context.Context, t Tenant) (Cloud, error)

	// Redeem exchanges the code and verifies the id_token: signature, issuer (the tenant's own), audience, expiry and
	// nonce. An error is fault.Refused if the code or the token is not acceptable, and fault.Retry if Microsoft could
	// not be reached.
	Redeem(ctx context.Context, cloud Cloud, code string, c Challenge) (Administrator, error)
}

// Grants knows what our application may do in a tenant. It is safe for concurrent use.
type Grants interface {
	// MissingPermissions lists the application permissions that the product needs and that a fresh token for the tenant
	// lacks, e.g. "ActivityFeed.Read". An error is fault.Refused or fault.Retry.
	MissingPermissions(ctx context.Context, t Tenant) ([]string, error)

	// Forget drops the tokens that are cached for the tenant: one issued before a consent lacks the new roles.
	Forget(t Tenant)
}
