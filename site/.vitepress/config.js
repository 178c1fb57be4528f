// The manual as a web site: every page of docs/, in the order of its index (docs/README.md).
import { cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitepress'

const docs = new URL('../../docs/', import.meta.url)
const modules = fileURLToPath(new URL('../node_modules/', import.meta.url))

/** The lines of the index, each with the links in it. */
function sidebar() {
  const index = readFileSync(new URL('README.md', docs), 'utf8')
  const groups = index.split('\n').filter((line) => line.startsWith('- '))
  return groups.map((line) => {
    const items = [...line.matchAll(/\[([^\]]+)\]\(([^)]+)\.md\)/g)].map(([, text, path]) => ({
      text: text.replaceAll('`', '').replace(/^./, (letter) => letter.toUpperCase()),
      link: `/${path}`,
    }))
    const [first, ...others] = items
    if (line.startsWith('- Tutorials')) return { text: 'Tutorials', items }
    return others.length === 0 ? first : { ...first, items: others }
  })
}

/** Links to files of the repository, which are not on the site, become what they name. */
function unlink(children) {
  let isFile = false
  for (const token of children) {
    if (token.type === 'link_open')
      isFile = /^\.\.\/(?!\.)[^)]*(?<!\.md)$|^\.\.\/fixtures\//.test(token.attrGet('href') ?? '')
    if (!isFile || !token.type.startsWith('link_')) continue
    token.tag = 'em'
    token.attrs = null
  }
}

export default defineConfig({
  title: 'vdisk',
  description: 'Converts, inspects, mends and mounts virtual disks, images and restores physical ones.',
  lang: 'en',
  head: [['link', { rel: 'icon', href: 'data:,' }]],
  srcDir: '../docs',
  srcExclude: ['schemas/**'],
  outDir: './dist',
  cacheDir: './cache',
  cleanUrls: true,
  // The pages lie outside of this folder, which has the packages.
  vite: { resolve: { alias: [{ find: /^vue(\/.*)?$/, replacement: `${modules}vue$1` }] } },
  rewrites: { 'README.md': 'index.md' },
  // The schemas of the commands' JSON are no pages: they are copied as they are.
  ignoreDeadLinks: [/^\.\/schemas/],
  buildEnd({ outDir }) {
    const folder = join(outDir, 'schemas')
    cpSync(new URL('schemas/', docs), folder, { recursive: true })
    const links = readdirSync(folder).map((name) => `<li><a href="${name}">${name}</a></li>`)
    const title = 'Schemas of the JSON that vdisk prints'
    writeFileSync(
      join(folder, 'index.html'),
      `<!DOCTYPE html><html lang="en"><meta charset="utf-8"><link rel="icon" href="data:,"><title>${title}</title><h1>${title}</h1><ul>${links.join('')}</ul></html>\n`,
    )
  },
  markdown: {
    // The manual is Markdown alone: what looks like a tag or like {{ }} in it is text.
    html: false,
    config: (md) => {
      const inline = md.renderer.rules.code_inline
      md.renderer.rules.code_inline = (...args) => inline(...args).replace('<code', '<code v-pre')
      md.core.ruler.before('linkify', 'files-of-the-repository', ({ tokens }) => {
        for (const { children } of tokens) unlink(children ?? [])
      })
    },
  },
  themeConfig: {
    nav: [
      { text: 'Tutorials', link: '/tutorials/backup-to-vm' },
      { text: 'Commands', link: '/reference' },
    ],
    sidebar: sidebar(),
    outline: [2, 3],
    search: { provider: 'local' },
  },
})
