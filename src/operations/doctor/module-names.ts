const fileEnding = /\.ko(?:\.(?:gz|xz|zst))?$/

/** Whether a file of a guest is a module of its kernel. */
export function isModuleFile(path: string): boolean {
  return fileEnding.test(path)
}

/** The name of a module, of its path or of what a list calls it: `virtio_blk`. kmod takes `-` and `_` for the same. */
export function moduleName(path: string): string {
  return path
    .replace(/^.*\//, '')
    .replace(/\.ko(\.\w+)?$/, '')
    .replaceAll('-', '_')
}

/** The modules among the names of an archive or of modules.dep. */
export function moduleNames(paths: Iterable<string>): Set<string> {
  return new Set([...paths].filter(isModuleFile).map(moduleName))
}
