// Package ext is what Traefik's configuration may be extended with: nothing, here. Traefik has a package of this name in its own
// repository, as a module that no module proxy has, since its path is not that of its directory.
package ext

// HTTP extends the configuration of HTTP.
type HTTP struct{}

// Router extends a router.
type Router struct{}

// RouterIng extends the router of an Ingress.
type RouterIng struct{}

// ToRouter is the extension of the router that is made of an Ingress.
func (RouterIng) ToRouter() Router { return Router{} }
