public import ApusClient
package import ApusCommand
public import ArgumentParser

extension OutputFormat: ExpressibleByArgument {}
extension Compression: ExpressibleByArgument {}
