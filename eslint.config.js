import tseslint from 'typescript-eslint'
import { layers } from './scripts/layers.js'

/** One rule block a layer: what its files may not import (scripts/layers.js is the one place that says so). */
const layerRules = Object.entries(layers).map(([layer, allowed]) => ({
  files: [`src/${layer}/**/*.ts`],
  rules: {
    'no-restricted-imports': [
      'error',
      {
        patterns: Object.keys(layers)
          .filter((other) => other !== layer && !allowed.includes(other))
          .map((other) => ({
            regex: `^(?:\\.\\./)+${other}/`,
            message: `src/${layer} may not import src/${other} (docs/architecture.md)`,
          })),
      },
    ],
  },
}))

export default tseslint.config(
  {
    ignores: [
      'dist/',
      'plugins/',
      'node_modules/',
      '.work/',
      'scripts/',
      'packaging/',
      // Compiled by its own settings.
      'plugins/',
      'site/',
      'bin/',
      'eslint.config.js',
    ],
  },
  ...tseslint.configs.strictTypeChecked,
  {
    languageOptions: { parserOptions: { project: './tsconfig.test.json' } },
    rules: {
      eqeqeq: 'error',
      'no-bitwise': 'error',
      'no-console': 'error',
      'no-restricted-properties': [
        'error',
        { property: 'toLocaleString', message: 'grouped() in src/errors.ts does it without loading tables first' },
      ],
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
      '@typescript-eslint/no-unnecessary-condition': ['error', { allowConstantLoopConditions: true }],
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      '@typescript-eslint/prefer-literal-enum-member': 'off',
      '@typescript-eslint/consistent-type-imports': 'error',
    },
  },
  ...layerRules,
  // Names are bytes, and mean what the system makes of them: text functions and Node's own decoding change both.
  {
    files: ['src/**/*.ts'],
    // Descriptors only (engine), files of the program itself (codec, start), paths of another system (win32).
    ignores: [
      'src/sys/host-fs.ts',
      'src/sys/host-path.ts',
      'src/engine/**',
      'src/codec/**',
      'src/cli/start.ts',
      'src/device/win32.ts',
    ],
    rules: {
      '@typescript-eslint/no-restricted-imports': [
        'error',
        {
          paths: [
            ...['node:fs', 'fs', 'node:fs/promises'].map((name) => ({
              name,
              allowTypeImports: true,
              message: 'Give paths to src/sys/host-fs.ts: Node decodes names.',
            })),
            ...['node:path', 'path', 'node:path/posix'].map((name) => ({
              name,
              message: 'Ask the system (src/sys/host-path.ts): text does not know where a link leads.',
            })),
          ],
        },
      ],
      'no-restricted-properties': [
        'error',
        { object: 'process', property: 'cwd', message: 'Its name is decoded: use a relative path, or realPath(".").' },
      ],
    },
  },
  // What is larger says why, beside the rule's name.
  {
    files: ['src/**/*.ts'],
    rules: {
      complexity: ['error', 20],
      'max-lines-per-function': ['error', { max: 60, skipBlankLines: true, skipComments: true }],
    },
  },
  // A test is one story, read from its first line to its last; what it calls is held to the measure of the source.
  {
    files: ['test/**/*.ts', 'bench/**/*.ts'],
    rules: {
      complexity: ['error', 22],
      'max-lines-per-function': ['error', { max: 110, skipBlankLines: true, skipComments: true }],
    },
  },
  // Offsets pass 2^31: bit operators are only for the places that pack and unpack words.
  {
    files: ['src/binary/**', '**/entries.ts', '**/refcount-entries.ts', 'src/codec/**'],
    rules: { 'no-bitwise': 'off' },
  },
  {
    files: ['test/**', 'bench/**', 'fixtures/**'],
    rules: {
      'no-bitwise': 'off',
      'no-console': 'off',
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/no-floating-promises': 'off',
    },
  },
)
